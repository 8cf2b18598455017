#!/bin/sh
# What TLS costs, beside nginx with one worker, the same certificate, cipher and reply: keep-alive requests
# by HTTP and HTTPS (requests a second and processor time a request, and their ratios), full handshakes
# (a second, and processor time each), memory of an idle connection. Interleaved, three rounds.
#
#     bench/tls.sh build/release/sluice [seconds]
set -eu
server=$1 seconds=${2:-3} root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d)
chmod 755 "$dir"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/key" -out "$dir/cert" -days 2 \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
printf '{\n    "predictions": [2.5, 3.0, 4.5, 2.75, 5.625\n    ]\n}' >"$dir/answer"
cat >"$dir/nginx.conf" <<END
daemon off; worker_processes 1; pid $dir/pid; error_log $dir/log;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; tcp_nodelay on; default_type application/json;
  client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  ssl_certificate $dir/cert; ssl_certificate_key $dir/key; ssl_protocols TLSv1.2 TLSv1.3;
  ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256; ssl_prefer_server_ciphers on; ssl_session_tickets on;
  ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
  server { listen 127.0.0.1:8695; listen 127.0.0.1:8696 ssl;
    location / { return 200 '$(cat "$dir/answer")'; } }
}
END
cat >"$dir/post.lua" <<END
wrk.method = "POST"
wrk.body = '{"instances": [1.0, 2.0, 5.0, 1.5, 7.25]}'
wrk.headers["Content-Type"] = "application/json"
END
nginx -c "$dir/nginx.conf" -p "$dir" & nginx=$!
"$server" serve --port=0 --loop_threads=1 --worker_threads=1 --log_level=error --model_name=m \
  --model_base_path="$root/tests/models/half_plus_two" --tls_cert_file="$dir/cert" --tls_key_file="$dir/key" \
  --rest_address=http://127.0.0.1:8697,https://127.0.0.1:8698 & ours=$!
trap 'kill $nginx $ours; rm -rf "$dir"' EXIT
sleep 1
worker=$(cat "/proc/$nginx/task/$nginx/children" | tr -d ' ')
cpu() { awk '{print $14 + $15}' "/proc/$1/stat"; }
requests() { # name pid url
  before=$(cpu "$2")
  out=$(wrk -t1 -c32 -d"$seconds" -s "$dir/post.lua" "$3")
  if echo "$out" | grep -E 'Non-2xx|Socket errors' >&2; then echo "$1: the answers are wrong" >&2; exit 1; fi
  echo "$1 $(echo "$out" | awk '/Requests\/sec/ {print $2}') $(echo "$before $(cpu "$2") $out" | awk '/requests in/ {n = $1} NR == 1 {b = $1; a = $2} END {print (a - b) * 1e4 / n}')" | tee -a "$dir/out"
}
handshakes() { # name pid port
  before=$(cpu "$2")
  n=$(openssl s_time -connect "127.0.0.1:$3" -new -time "$seconds" 2>/dev/null | awk '/real seconds/ {print $1}')
  echo "$1 $((n / seconds)) $(echo "$before $(cpu "$2") $n" | awk '{print ($2 - $1) * 1e4 / $3}')" | tee -a "$dir/out"
}
for round in 1 2 3; do
  requests nginx-http "$worker" http://127.0.0.1:8695/v1/models/m:predict
  requests sluice-http $ours http://127.0.0.1:8697/v1/models/m:predict
  requests nginx-https "$worker" https://127.0.0.1:8696/v1/models/m:predict
  requests sluice-https $ours https://127.0.0.1:8698/v1/models/m:predict
  handshakes nginx-handshakes "$worker" 8696
  handshakes sluice-handshakes $ours 8698
done
echo
awk '{r[$1] = r[$1] " " $2; c[$1] = c[$1] " " $3}
  function median(s, a, n, i, j, t) { n = split(s, a, " ")
    for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (a[j] + 0 < a[i] + 0) { t = a[i]; a[i] = a[j]; a[j] = t }
    return a[int((n + 1) / 2)] }
  END { for (w in r) { rate[w] = median(r[w]); us[w] = median(c[w]); printf "%-18s %8.0f a second  %6.2f us of processor\n", w, rate[w], us[w] }
    for (i = 1; i <= split("nginx sluice", who, " "); i++) { s = who[i]
      printf "%-7s HTTPS/HTTP: requests %.3f, processor time %.3f\n", s, rate[s "-https"] / rate[s "-http"], us[s "-https"] / us[s "-http"] }
    printf "full handshakes, sluice/nginx: a second %.3f, processor time %.3f\n", rate["sluice-handshakes"] / rate["nginx-handshakes"], us["sluice-handshakes"] / us["nginx-handshakes"] }' "$dir/out"
