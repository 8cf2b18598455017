-- wrk: asks COUNT models in turn, from number FIRST on: /v1/models/m00500:predict
local requests, n = {}, 0
for i = tonumber(os.getenv("FIRST")), tonumber(os.getenv("FIRST")) + tonumber(os.getenv("COUNT")) - 1 do
  requests[#requests + 1] = wrk.format("POST", string.format("/v1/models/m%05d:predict", i), nil, os.getenv("BODY"))
end
request = function()
  n = n % #requests + 1
  return requests[n]
end
