#!/bin/sh
# What TLS costs, beside nginx with one worker, the same certificate, cipher and reply. In each round all of it, nginx
# and sluice in turn; ratios are taken round by round, and what is told is the median.
#
#     bench/tls.sh build/release/sluice [seconds [rounds]]
#
# Full and resumed handshakes (bench/handshakes.c), TLS 1.3 and 1.2: processor time of the server each, user and system, from the
# scheduler's own count; and a second. Keep-alive requests by HTTP and HTTPS: requests a second, processor time each.
set -eu
server=$1 seconds=${2:-2} rounds=${3:-7} root=$(cd "$(dirname "$0")/.." && pwd)
handshakes=$(dirname "$server")/bench/handshakes
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
worker=$(tr -d ' ' <"/proc/$nginx/task/$nginx/children")
cpu() { cat /proc/"$1"/task/*/schedstat | awk '{ns += $1} END {printf "%.0f", ns}'; }
told() { echo "$1 $2 $3" >>"$dir/out"; } # what, a second, nanoseconds each
requests() { # what pid url
  before=$(cpu "$2")
  out=$(wrk -t1 -c32 -d"$seconds" -s "$dir/post.lua" "$3")
  if echo "$out" | grep -E 'Non-2xx|Socket errors' >&2; then echo "$1: the answers are wrong" >&2; exit 1; fi
  n=$(echo "$out" | awk '/requests in/ {print $1}')
  told "$1" "$(echo "$out" | awk '/Requests\/sec/ {print $2}')" "$(( ($(cpu "$2") - before) / n ))"
}
shakes() { # what pid port version kind
  count=$((seconds * 500))
  before=$(cpu "$2")
  rate=$("$handshakes" "$3" "$4" "$5" $count)
  told "$1" "$rate" "$(( ($(cpu "$2") - before) / count ))"
}
round=0
while [ $round -lt "$rounds" ]; do
  round=$((round + 1))
  for version in 1.3 1.2; do
    for kind in full resume; do
      shakes "nginx-$kind-$version" "$worker" 8696 $version $kind
      shakes "sluice-$kind-$version" $ours 8698 $version $kind
    done
  done
  requests nginx-http "$worker" http://127.0.0.1:8695/v1/models/m:predict
  requests sluice-http $ours http://127.0.0.1:8697/v1/models/m:predict
  requests nginx-https "$worker" https://127.0.0.1:8696/v1/models/m:predict
  requests sluice-https $ours https://127.0.0.1:8698/v1/models/m:predict
done
awk '
  function median(s, a, n, i, j, t) { n = split(s, a, " ")
    for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (a[j] + 0 < a[i] + 0) { t = a[i]; a[i] = a[j]; a[j] = t }
    return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2 }
  function ratios(num, den, a, b, n, i, s) { n = split(num, a, " "); split(den, b, " "); s = ""
    for (i = 1; i <= n; i++) s = s " " a[i] / b[i]; return s }
  { r[$1] = r[$1] " " $2; c[$1] = c[$1] " " $3; if (!seen[$1]++) order[++kinds] = $1 }
  END {
    for (i = 1; i <= kinds; i++) printf "%-18s %8.0f a second  %8.2f us of processor\n", order[i], median(r[order[i]]), median(c[order[i]]) / 1000
    print ""
    split("full-1.3 resume-1.3 full-1.2 resume-1.2", kind, " ")
    for (i = 1; i <= 4; i++) { k = kind[i]
      printf "handshakes %-11s nginx/sluice processor time %.3f, sluice/nginx a second %.3f\n", k ":",
        median(ratios(c["nginx-" k], c["sluice-" k])), median(ratios(r["sluice-" k], r["nginx-" k])) }
    split("nginx sluice", who, " ")
    for (i = 1; i <= 2; i++) { s = who[i]
      printf "%-7s HTTPS/HTTP: requests %.3f, processor time %.3f\n", s, median(ratios(r[s "-https"], r[s "-http"])), median(ratios(c[s "-https"], c[s "-http"])) } }' "$dir/out"
