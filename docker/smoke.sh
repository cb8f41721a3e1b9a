#!/usr/bin/env bash
# Build the images with a real Docker engine, start the composed stack on the CPU, take a prediction through it and a job
# through Redis and a worker, and check what the images promise. Prints one line per check; exit status 0 only if all hold.
#
#   docker/smoke.sh [--offline-bases] [CLIP]
#
# PYTHON_IMAGE   base of the images (default python:3.11-slim-bookworm)
# TRITON_IMAGE   Triton to run (default: the CPU stand-in of docker/triton.Dockerfile, built here)
# REDIS_IMAGE    Redis to run (default: that of docker-compose.yml, or Debian's on the base made here)
# --offline-bases, or a Python image that cannot be pulled: a Debian base is made with debootstrap (as root) from this
#                machine's own apt sources, and named smile-standin/python:3.11 so that it never passes for the official.
# Where no engine runs, root gets one of its own in .cache/docker, stopped again at the end.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/.." && pwd)
cd "$checkout"
work=$(mktemp -d)
clip=demo/astronaut_smile.mp4
offline=false
engine_pid=
failures=0
for argument in "$@"; do
    case $argument in
        --offline-bases) offline=true ;;
        -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit ;;
        *) clip=$argument ;;
    esac
done
clip=$(realpath "$clip")
export PYTHON_IMAGE=${PYTHON_IMAGE:-python:3.11-slim-bookworm}
export TRITON_IMAGE=${TRITON_IMAGE:-}
export REDIS_IMAGE=${REDIS_IMAGE:-}
export GATEWAY_IMAGE=smile-smoke/gateway:latest
export COMPOSE_PROJECT_NAME=smile-smoke
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export PORT

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s (at %d s)\n' "$*" "$SECONDS"; }
die() { say "error: $*" >&2; exit 1; }
check() { # description, command...: the command's last line of output is shown beside the verdict
    local description=$1 seen
    shift
    if seen=$("$@" 2>&1); then
        say "ok    $description: $(tail -n 1 <<<"$seen")"
    else
        failures=$((failures + 1))
        say "FAIL  $description:" "$seen"
    fi
}

if docker compose version >/dev/null 2>&1; then compose=(docker compose); else compose=(docker-compose); fi
compose+=(-f docker-compose.yml -f docker/compose.cpu.yml)

clean_up() {
    local status=$?
    trap - EXIT
    if docker info >/dev/null 2>&1; then
        if ((status != 0)); then "${compose[@]}" logs --no-color --tail 40 2>/dev/null || true; fi
        "${compose[@]}" down --volumes --remove-orphans --timeout 40 >"$work/down.log" 2>&1 || cat "$work/down.log"
    fi
    if [[ -n $engine_pid ]]; then
        kill "$engine_pid" || true
        wait "$engine_pid" || true
    fi
    rm -rf "$work"
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

start_engine() {
    docker info >/dev/null 2>&1 && return
    ((EUID == 0)) || die "no Docker engine is running, and only root can start one"
    command -v dockerd >/dev/null || die "no Docker engine: install docker.io"
    mkdir -p .cache/docker
    export DOCKER_HOST=unix://$work/docker.sock
    dockerd --host "$DOCKER_HOST" --data-root "$checkout/.cache/docker" --exec-root "$work/exec" \
        --pidfile "$work/docker.pid" >"$work/dockerd.log" 2>&1 &
    engine_pid=$!
    for _ in {1..60}; do
        docker info >/dev/null 2>&1 && return
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.5
    done
    tail -n 20 "$work/dockerd.log"
    die "dockerd did not start"
}

debian_mirror() { # where this machine gets bookworm from
    # shellcheck disable=SC2016  # the placeholders are apt's
    apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(CREATED_BY) $(REPO_URI)' 2>/dev/null |
        awk '$1 == "bookworm" && $2 == "main" && $3 == "Packages" { print $4; exit }'
}

make_python_base() { # Debian with Python 3.11 as a shared library, pip, venv, and this machine's certificates
    local root=$work/rootfs mirror index changes
    docker image inspect "$1" >/dev/null 2>&1 && return
    ((EUID == 0)) || die "debootstrap needs root"
    command -v debootstrap >/dev/null || die "install debootstrap, or give PYTHON_IMAGE"
    mirror=$(debian_mirror)
    [[ -n $mirror ]] || die "this machine has no apt source for Debian bookworm; give PYTHON_IMAGE"
    debootstrap --variant=minbase --include=ca-certificates,libpython3.11,python3,python3-pip,python3-venv \
        bookworm "$root" "$mirror" >"$work/debootstrap.log" 2>&1 || { tail "$work/debootstrap.log"; die "debootstrap"; }
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    rm -rf "$root"/usr/share/{doc,info,locale,man}/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
    changes=(--change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt')
    index=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2>/dev/null || true)}
    [[ -z $index ]] || changes+=(--change "ENV PIP_INDEX_URL=$index")
    tar -C "$root" -c . | docker import "${changes[@]}" - "$1" >/dev/null
    rm -rf "$root"
}

make_redis() { # Debian's, at the paths of the official image
    docker build --build-arg PYTHON_IMAGE --tag "$1" - >"$work/build.log" 2>&1 <<'RECIPE'
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}
RUN apt-get update && apt-get install --yes --no-install-recommends redis-server && mkdir /data && chown 999:999 /data
WORKDIR /data
RECIPE
}

container() { "${compose[@]}" ps -q "$1"; }
inspect() { docker inspect --format "$2" "$1"; }
await_healthy() { # container, seconds
    local status
    for ((i = 0; i < $2 * 2; i++)); do
        status=$(inspect "$1" '{{.State.Health.Status}}')
        [[ $status == healthy ]] && { say healthy; return; }
        (($(inspect "$1" '{{.RestartCount}}') > 1)) && break
        sleep 0.5
    done
    say "$status, restarted $(inspect "$1" '{{.RestartCount}}') times"
    return 1
}
started_after_healthy() { # gateway, triton
    local healthy started
    healthy=$(inspect "$2" '{{range .State.Health.Log}}{{if eq .ExitCode 0}}{{.End.UTC.Format "2006-01-02T15:04:05.000"}}
{{end}}{{end}}' | head -n 1)
    started=$(inspect "$1" '{{.State.StartedAt}}')
    say "Triton healthy $healthy, gateway started $started"
    [[ -n $healthy && ! $started < $healthy ]]
}
runs_as() { local id; id=$(docker exec "$1" id -u) && say "user $id" && [[ $id == "$2" ]]; }
cannot_write() { # container, paths...
    local target=$1 path
    shift
    [[ $(inspect "$target" '{{.HostConfig.ReadonlyRootfs}}') == true ]] || { say "its root is writable"; return 1; }
    for path in "$@"; do
        ! docker exec "$target" touch "$path/probe" 2>/dev/null || { say "$path is writable"; return 1; }
    done
    say "$* refuse writing"
}
smaller_than() { # image, MB
    local size=$(($(docker image inspect --format '{{.Size}}' "$1") / 1000000))
    say "$size MB of $2 MB" && ((size < $2))
}
torch_is_absent() {
    docker exec "$1" python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is not None)' &&
        say "no module named torch"
}
executions() { # triton, model: batches executed so far, warm-up included
    docker exec "$1" python3 -c "
import re, urllib.request as u
text = u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8002/metrics').read().decode()
print(int(float(re.search(r'nv_inference_exec_count\{model=\"$2\".*?\} (\S+)', text)[1])))"
}
more_executions() { # triton, model, before
    local now
    now=$(executions "$1" "$2") && say "$((now - $3)) batches" && ((now > $3))
}
predict() { # file for the answer
    local status
    status=$(curl --silent --show-error --max-time 120 --output "$1" --write-out '%{http_code} in %{time_total} s' \
        --form "video=@$clip;type=video/mp4" "http://127.0.0.1:$PORT/predict") || return 1
    say "$status"
    [[ $status == 200* ]] || { cat "$1"; return 1; }
}
by_worker() { # file for the answer of a job
    local base=http://127.0.0.1:$PORT location status
    curl --silent --show-error --fail --output /dev/null --dump-header "$work/job.headers" \
        --form "video=@$clip;type=video/mp4" "$base/jobs" || return 1
    location=$(tr -d '\r' <"$work/job.headers" | sed -n 's/^[Ll]ocation: //p')
    for _ in {1..120}; do
        status=$(curl --silent --show-error --output "$1" --write-out '%{http_code}' "$base/$location/result") || return 1
        [[ $status == 200 ]] && { say "$status"; return; }
        sleep 0.5
    done
    cat "$1"
    return 1
}
in_process() { # file for the answer; no network at all
    docker run --rm --network none --read-only --tmpfs /tmp --volume "$clip:/clip:ro" "$GATEWAY_IMAGE" \
        python -m service predict /clip >"$1" 2>"$work/in_process.log" || { cat "$work/in_process.log"; return 1; }
    say "exit status 0"
}
same_answer() { # two files
    docker run --rm --interactive --network none --user "$(id -u)" --volume "$work:/answers:ro" "$GATEWAY_IMAGE" \
        python - "/answers/$1" "/answers/$2" <docker/compare_answers.py
}
leaves_gracefully() { # container: SIGTERM must do, within its grace period
    local before=$SECONDS status
    docker stop --time 60 "$1" >/dev/null
    status=$(inspect "$1" '{{.State.ExitCode}}')
    say "exit status $status after $((SECONDS - before)) s"
    ((status == 0 || status == 143))
}
finishes_its_request() { # container: a request in flight while it is stopped is still answered
    predict "$work/last.json" >"$work/last.log" &
    sleep 0.3
    leaves_gracefully "$1" && wait $! && say "the request in flight: $(cat "$work/last.log")"
}

step "engine"
start_engine
say "Docker $(docker version --format '{{.Server.Version}}'), $("${compose[@]}" version --short) compose"
step "base images"
if ! $offline && ! docker image inspect "$PYTHON_IMAGE" >/dev/null 2>&1; then
    timeout 300 docker pull --quiet "$PYTHON_IMAGE" 2>"$work/pull.log" || { tail -n 1 "$work/pull.log"; offline=true; }
fi
if $offline; then
    PYTHON_IMAGE=smile-standin/python:3.11
    make_python_base "$PYTHON_IMAGE"
fi
say "Python: $PYTHON_IMAGE, $(($(docker image inspect --format '{{.Size}}' "$PYTHON_IMAGE") / 1000000)) MB"
step "images"
if [[ -z $TRITON_IMAGE ]]; then
    TRITON_IMAGE=smile-standin/tritonserver:24.10
    docker build --build-arg PYTHON_IMAGE --file docker/triton.Dockerfile --tag "$TRITON_IMAGE" . \
        >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log"; die "the build of Triton's stand-in"; }
fi
"${compose[@]}" build gateway >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log"; die "the gateway's build"; }
if [[ -z $REDIS_IMAGE ]] && $offline; then
    REDIS_IMAGE=smile-standin/redis:7
    make_redis "$REDIS_IMAGE" || { tail -n 40 "$work/build.log"; die "the build of Redis' stand-in"; }
fi
say "Triton: $TRITON_IMAGE, $(($(docker image inspect --format '{{.Size}}' "$TRITON_IMAGE") / 1000000)) MB"
check "gateway image is small" smaller_than "$GATEWAY_IMAGE" 1500

step "stack"
"${compose[@]}" up -d --no-build >"$work/up.log" 2>&1 || { cat "$work/up.log"; die "compose up"; }
gateway=$(container gateway)
triton=$(container triton-cpu)
check "gateway waits for Triton" started_after_healthy "$gateway" "$triton"
check "gateway becomes healthy" await_healthy "$gateway" 120
check "gateway is not root" runs_as "$gateway" 10001
check "Triton is not root" runs_as "$triton" 1000
check "gateway's root is read-only" cannot_write "$gateway" / /app /opt/venv
check "Triton's root and models are read-only" cannot_write "$triton" / /models
check "gateway has no torch" torch_is_absent "$gateway"

step "prediction"
backbone=$(executions "$triton" backbone)
relations=$(executions "$triton" relations)
check "POST /predict through Triton" predict "$work/triton.json"
check "Triton executed backbone" more_executions "$triton" backbone "$backbone"
check "Triton executed relations" more_executions "$triton" relations "$relations"
check "the same image alone, in process, without network" in_process "$work/inprocess.json"
check "both answers agree within 1e-4" same_answer triton.json inprocess.json

step "jobs"
export SMILE_JOBS=redis://redis:6379/0
"${compose[@]}" --profile jobs up -d --no-build >"$work/up.log" 2>&1 || { cat "$work/up.log"; die "compose up of the jobs"; }
gateway=$(container gateway)
worker=$(container worker)
check "gateway is healthy again" await_healthy "$gateway" 120
check "worker is not root" runs_as "$worker" 10001
check "worker's root is read-only" cannot_write "$worker" / /app /opt/venv
check "POST /jobs, by the worker" by_worker "$work/job.json"
check "the job's answer agrees within 1e-4" same_answer job.json inprocess.json
check "worker stops gracefully" leaves_gracefully "$worker"

step "stop"
check "gateway stops gracefully" finishes_its_request "$gateway"
check "Triton stops gracefully" leaves_gracefully "$triton"
say
((failures == 0)) || die "$failures checks failed, in $SECONDS s"
say "all checks hold, in $SECONDS s"
