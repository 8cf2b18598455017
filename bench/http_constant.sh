#!/bin/sh
# CPU time a request, user and system, of the HTTP layer with a constant answer beside nginx with one
# worker: a constant answer too (`return 200`), and a static file. Interleaved, three rounds.
#
#     bench/http_constant.sh build/release/bench/bench_http_constant [seconds]
set -eu
server=$1 seconds=${2:-4}
dir=$(mktemp -d)
answer='{"predictions": [2.5, 3.0, 4.5, 12345678.0, 1.2345678901234]}'
chmod 755 "$dir" # nginx gives up root
mkdir "$dir/www"
printf %s "$answer" > "$dir/www/static.json"
cat > "$dir/nginx.conf" <<END
daemon off; worker_processes 1; pid $dir/pid; error_log $dir/log;
events { worker_connections 1024; }
http {
  access_log off; keepalive_requests 1000000000; open_file_cache max=10; tcp_nodelay on;
  client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f;
  uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  server {
    listen 127.0.0.1:8698; root $dir/www; default_type application/json;
    location = /constant { return 200 '$answer'; }
    location / { error_page 405 =200 \$uri; }
  }
}
END
cat > "$dir/post.lua" <<END
wrk.method = "POST"
wrk.body = '{"instances": [1.0, 2.0, 5.0, 1.5, 7.25]}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["User-Agent"] = "python-requests/2.31.0"
wrk.headers["Accept"] = "*/*"
END
nginx -c "$dir/nginx.conf" -p "$dir" & nginx=$!
"$server" 8699 1 61 & ours=$!
trap 'kill $nginx $ours; rm -rf "$dir"' EXIT
sleep 1
worker=$(cat "/proc/$nginx/task/$nginx/children")
cpu() { awk '{print $14, $15}' "/proc/$1/stat"; }
measure() { # name pid url
  before=$(cpu $2)
  out=$(wrk -t1 -c64 -d"$seconds" -s "$dir/post.lua" "$3")
  if echo "$out" | grep -E 'Non-2xx|Socket errors' >&2; then
    echo "$1: the answers are wrong, the figures would be too" >&2
    exit 1
  fi
  echo "$before $(cpu $2) $(echo "$out" | awk '/requests in/ {print $1}')" | awk -v name="$1" '{
    u = ($3 - $1) * 1e4 / $5; s = ($4 - $2) * 1e4 / $5
    printf "%-16s user %5.2f  system %5.2f  together %5.2f us a request\n", name, u, s, u + s }'
}
for round in 1 2 3; do
  measure nginx-constant $worker http://127.0.0.1:8698/constant
  measure nginx-static $worker http://127.0.0.1:8698/static.json
  measure sluice-http $ours http://127.0.0.1:8699/v1/models/m:predict
done
