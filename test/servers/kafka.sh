#!/usr/bin/env bash
# One Apache Kafka broker (KRaft, single node) for tests, on loopback, without Docker.
# Needs: java 17+, mvn. Everything lies under $KAFKA_RUN (default under ~/.cache/weir-servers), the jars under ~/.cache/weir-servers.
#   kafka.sh install   fetch the server's jars from Maven Central (once), and Java and Maven where they are missing
#   kafka.sh installed whether that has been done
#   kafka.sh up        format an empty data dir if there is none, start, wait until it answers; by several at once too
#   kafka.sh down      stop by pid (clean shutdown);  kafka.sh kill   SIGKILL, data is kept
#   kafka.sh hang      it keeps its connections and answers nothing, until  kafka.sh go
#   kafka.sh wipe      remove the data dir (only while it is down)
#   kafka.sh status    pid, RSS, threads
# KAFKA_TIER=1 (default) halves the CPU a start costs; 4 for benchmarks. Only 4.x: 3.9 brings its own log binding.
# Listeners: PLAINTEXT $KAFKA_PORT, SASL_PLAINTEXT +1 (PLAIN and SCRAM, user/pass alice/secret),
#            SSL +2 (self-signed, CA in $KAFKA_RUN/tls/ca.pem), CONTROLLER +9.
set -euo pipefail
here=$(cd "$(dirname "$0")/kafka" && pwd)
V=${KAFKA_VERSION:-4.4.0}
PORT=${KAFKA_PORT:-19092}
RUN=${KAFKA_RUN:-${WEIR_SERVERS:-$HOME/.cache/weir-servers}/run/kafka-$PORT}
LIB=${KAFKA_LIB:-${WEIR_SERVERS:-$HOME/.cache/weir-servers}/kafka-$V}
HEAP=${KAFKA_HEAP:-256m}
DATA=$RUN/data PIDFILE=$RUN/pid LOG=$RUN/server.log PROPS=$RUN/server.properties
SASL=$((PORT+1)) SSL=$((PORT+2)) CTRL=$((PORT+9))

alive() { [[ -s $PIDFILE ]] && kill -0 "$(<"$PIDFILE")" 2>/dev/null; }
cp_() { echo "$here:$LIB/*"; }   # $here holds simplelogger.properties

install() {
  mkdir -p "$LIB"
  exec 8>"$LIB/.lock"
  flock 8
  if ! command -v java >/dev/null || ! command -v mvn >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends openjdk-17-jre-headless maven
  fi
  [[ -e $LIB/.ok ]] && return
  mvn -q -B -f "$here/pom.xml" -Dkafka.version="$V" dependency:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$LIB"
  touch "$LIB/.ok"
}

tls() {
  local d=$RUN/tls; [[ -e $d/ca.pem ]] && return; mkdir -p "$d"
  keytool -genkeypair -alias k -keyalg RSA -keysize 2048 -validity 3650 -storetype PKCS12 -keystore "$d/ks.p12" \
    -storepass changeit -dname CN=localhost -ext san=dns:localhost,ip:127.0.0.1 2>/dev/null
  keytool -exportcert -rfc -alias k -keystore "$d/ks.p12" -storepass changeit -file "$d/ca.pem" 2>/dev/null
}

props() {
  cat >"$PROPS" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$CTRL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:$PORT,SASL_PLAINTEXT://127.0.0.1:$SASL,SSL://127.0.0.1:$SSL,CONTROLLER://127.0.0.1:$CTRL
advertised.listeners=PLAINTEXT://127.0.0.1:$PORT,SASL_PLAINTEXT://127.0.0.1:$SASL,SSL://127.0.0.1:$SSL
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="secret";
listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PKCS12
ssl.keystore.location=$RUN/tls/ks.p12
ssl.keystore.password=changeit
ssl.client.auth=none
log.dirs=$DATA
num.partitions=4
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
log.cleaner.dedupe.buffer.size=8388608
log.segment.bytes=67108864
log.index.size.max.bytes=1048576
controlled.shutdown.enable=false
${KAFKA_EXTRA:-}
P
}

up() {
  mkdir -p "$RUN"
  exec 9>"$RUN/lock"
  flock 9 # Others that want it too wait here, and find it running. It does not pass on to the server: 9>&-
  alive && { echo "already up, pid $(<"$PIDFILE")"; return; }
  [[ -e $LIB/.ok ]] || { echo "not installed: $0 install"; exit 1; }
  tls; props
  local cp; cp=$(cp_)
  if [[ ! -e $DATA/meta.properties ]]; then
    java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -cp "$cp" kafka.tools.StorageTool format -t "$(head -c16 /dev/urandom | base64 | tr '+/' '-_' | tr -d =)" \
      -c "$PROPS" --add-scram 'SCRAM-SHA-256=[name=alice,password=secret]' \
      --add-scram 'SCRAM-SHA-512=[name=alice,password=secret]' >"$RUN/format.log" 2>&1
  fi
  java -server -Xms"$HEAP" -Xmx"$HEAP" -XX:+UseSerialGC -XX:TieredStopAtLevel="${KAFKA_TIER:-1}" -XX:+ExitOnOutOfMemoryError \
     -Djava.awt.headless=true -Djava.net.preferIPv4Stack=true \
     -cp "$cp" kafka.Kafka "$PROPS" >"$LOG" 2>&1 </dev/null 9>&- &
  echo $! >"$PIDFILE"; disown
  local i
  for ((i=0;i<1500;i++)); do
    grep -q 'Kafka Server started' "$LOG" && { echo "ready on 127.0.0.1:$PORT (pid $(<"$PIDFILE"))"; return; }
    alive || { tail -20 "$LOG"; exit 1; }
    sleep 0.1
  done
  echo "not ready after 150 s"; exit 1
}

stop() { # $1 signal
  alive || { rm -f "$PIDFILE"; return 0; }
  local p; p=$(<"$PIDFILE"); kill -"$1" "$p"
  for ((i=0;i<300;i++)); do kill -0 "$p" 2>/dev/null || { rm -f "$PIDFILE"; return 0; }; sleep 0.1; done
  echo "pid $p still there"; return 1
}

case ${1:-} in
  install) install ;;
  installed) [[ -e $LIB/.ok ]] && command -v java >/dev/null ;;
  up) up ;; down) stop TERM ;; kill) stop KILL ;;
  hang) kill -STOP "$(<"$PIDFILE")" ;; go) kill -CONT "$(<"$PIDFILE")" ;;
  wipe) alive && { echo 'still up'; exit 1; }; rm -rf "$DATA" ;;
  status) alive || { echo down; exit 1; }; p=$(<"$PIDFILE"); echo "pid $p $(awk '/VmRSS|VmHWM|Threads/{printf "%s %s%s ",$1,$2,$3}' /proc/$p/status)" ;;
  *) sed -n 2,15p "$0"; exit 2 ;;
esac
