#!/usr/bin/env bash
# One private RabbitMQ node for tests: no systemd, no root-owned state, loopback only.
#   rabbitmq.sh install | up | down | kill | wipe | status | ctl <rabbitmqctl arguments…>
# AMQP $RMQ_PORT (5673), management http +10000 (15673), distribution +20000, epmd $RMQ_EPMD (+8696, a daemon of its
# own so that `down` can end it). State in $RMQ_RUN. User guest/guest. `up` may be called by several at once.
set -euo pipefail
PORT=${RMQ_PORT:-5673}
RUN=${RMQ_RUN:-${WEIR_SERVERS:-$HOME/.cache/weir-servers}/run/rabbitmq-$PORT}
HTTP=$((PORT + 10000)) DIST=$((PORT + 20000)) EPMD=${RMQ_EPMD:-$((PORT + 8696))}
mkdir -p "$RUN"
export HOME=$RUN RABBITMQ_NODENAME=t$PORT@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$PORT \
  RABBITMQ_DIST_PORT=$DIST RABBITMQ_MNESIA_BASE=$RUN/mnesia RABBITMQ_LOG_BASE=$RUN/log RABBITMQ_LOGS=$RUN/log/server.log \
  RABBITMQ_ENABLED_PLUGINS_FILE=$RUN/enabled_plugins RABBITMQ_PID_FILE=$RUN/pid RABBITMQ_CONFIG_FILE=$RUN/rabbitmq.conf \
  RABBITMQ_ADVANCED_CONFIG_FILE=$RUN/advanced.config RABBITMQ_CONF_ENV_FILE=$RUN/none \
  ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$EPMD RUNNING_UNDER_SYSTEMD=1 ERL_CRASH_DUMP=$RUN/erl_crash.dump \
  RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none'
# Not /usr/sbin: those wrappers change to the user rabbitmq. RUNNING_UNDER_SYSTEMD makes the wrapper exec, so that $! is
# the virtual machine itself. +sbwt none: idle schedulers sleep instead of spinning.
bin=/usr/lib/rabbitmq/bin
PATH=$bin:$PATH

alive() { [[ -s $RUN/beam.pid ]] && kill -0 "$(<"$RUN/beam.pid")" 2>/dev/null; }

install() {
  [[ -x $bin/rabbitmq-server ]] && return
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends rabbitmq-server
}

# Short intervals: tests read how much is held, which the server otherwise tells up to 5 s late.
configure() {
  mkdir -p "$RUN/log"
  echo '[rabbitmq_management].' >"$RUN/enabled_plugins"
  cat >"$RUN/rabbitmq.conf" <<C
listeners.tcp.default = 127.0.0.1:$PORT
management.tcp.ip = 127.0.0.1
management.tcp.port = $HTTP
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1536MiB
raft.wal_max_size_bytes = 16000000
log.console = false
C
  echo '[{rabbit,[{collect_statistics_interval,250},{quorum_tick_interval,250}'"${RMQ_RABBIT:+,$RMQ_RABBIT}"']}].' >"$RUN/advanced.config"
  [[ -s $RUN/.erlang.cookie ]] && return
  head -c 15 /dev/urandom | base64 | tr -d '/+=' >"$RUN/.erlang.cookie"
  chmod 400 "$RUN/.erlang.cookie"
}

# A server of one test does not outlive it, however that ends.
end_with() { # $1 pid
  [[ -s $RUN/guard.pid ]] && kill -0 "$(<"$RUN/guard.pid")" 2>/dev/null && return
  setsid bash -c 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; "$0" kill; "$0" wipe' \
    "$(realpath "$0")" "$1" </dev/null >/dev/null 2>&1 9>&- & echo $! >"$RUN/guard.pid"; disown
}

ready() {
  grep -qs 'Server startup complete' "$RUN/log/server.log" &&
    curl -fs -m 5 -o "$RUN/log/probe" -u guest:guest "http://127.0.0.1:$HTTP/api/overview"
}

up() {
  exec 9>"$RUN/lock"
  flock 9 # Others that want it too wait here, and find it running. It does not pass on to the server: 9>&-
  if alive && ready; then echo "up, pid $(<"$RUN/beam.pid")"; return; fi
  if ! alive; then
    rm -f "$RUN/log/server.log"
    configure
    # Before the server, which would start one that listens everywhere.
    epmd -address 127.0.0.1 -port "$EPMD" -daemon </dev/null >/dev/null 2>&1 9>&- || true
    setsid rabbitmq-server </dev/null >"$RUN/log/stdout" 2>&1 9>&- & echo $! >"$RUN/beam.pid"; disown
    [[ -z ${RMQ_OWNER:-} ]] || end_with "$RMQ_OWNER"
  fi
  for ((i = 0; i < 1200; i++)); do
    if ready; then echo "up, pid $(<"$RUN/beam.pid")"; return; fi
    if ! alive; then tail -20 "$RUN/log/stdout"; exit 1; fi
    sleep 0.1
  done
  echo 'RabbitMQ is not ready after two minutes'
  exit 1
}

stop() { # $1 signal: SIGTERM is a clean shutdown
  local pid i
  if [[ -s $RUN/beam.pid ]]; then
    pid=$(<"$RUN/beam.pid")
    kill -"$1" "$pid" 2>/dev/null || true
    for ((i = 0; i < 300; i++)); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    rm -f "$RUN/beam.pid"
  fi
  epmd -port "$EPMD" -kill >/dev/null 2>&1 || true # Its own, by its port.
}

case ${1:-} in
  install) install ;;
  installed) [[ -x $bin/rabbitmq-server ]] ;;
  up) up ;;
  down) stop TERM ;;
  kill) stop KILL ;;
  wipe) if alive; then echo 'still up'; exit 1; fi; rm -rf "$RUN" ;;
  ctl) shift; exec rabbitmqctl "$@" ;;
  status) alive || { echo down; exit 1; }; echo "pid $(<"$RUN/beam.pid")" ;;
  *) sed -n 2,5p "$0"; exit 2 ;;
esac
