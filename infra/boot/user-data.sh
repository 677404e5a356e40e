#!/bin/sh
# The first minutes of a node: what control gives a new machine as user data, and cloud-init runs as root. POSIX sh.
# Archives are fetched and verified, the agent is started, takes its token to control and is heard there.
# May run any number of times; what is done stays. README.md has the reasons.
#
# Control fills in the following. Values stand in single quotes, or as lines of a here-document: whoever renders refuses
# one that holds a single quote, a double quote, a backslash or a line break. No more than 16 KiB come of it.
#   {{NODE}}          the node's id; empty: an image is being made, nothing is started
#   {{CONTROL_URL}}   where the agent finds control: https://agents.updraft.example.com
#   {{TOKEN}}         the bootstrap token, good once and for a short time
#   {{BOOT_LOG_URL}}  a presigned PUT for what happened here; empty: it stays on the node
#   {{ARCHIVES}}      a line for each .tar.gz: <sha256> <directory below /opt/updraft> <presigned GET>. One is `agent`
set -eu
umask 077
export PATH="${UPDRAFT_BOOT_PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}" LC_ALL=C

NODE='{{NODE}}'
CONTROL_URL='{{CONTROL_URL}}'
TOKEN='{{TOKEN}}'
BOOT_LOG_URL='{{BOOT_LOG_URL}}'
archives() {
    cat <<'UPDRAFT_ARCHIVES'
{{ARCHIVES}}
UPDRAFT_ARCHIVES
}

# Tests have another root, metadata service and user.
ROOT="${UPDRAFT_BOOT_ROOT:-}"
METADATA="${UPDRAFT_BOOT_METADATA:-http://169.254.169.254}"
SERVICES="${UPDRAFT_BOOT_USER:-updraft-services}"
BUILDER="${UPDRAFT_BOOT_BUILDER:-updraft-builder}"
export PATIENCE="${UPDRAFT_BOOT_PATIENCE:-120}"
readonly UNIT=updraft-agent.service
readonly OPT="$ROOT/opt/updraft" VAR="$ROOT/var/lib/updraft" LOG="$ROOT/var/log/updraft-boot.log"

# Python is there, since cloud-init is written in it: 3.11 on Debian 12, 3.9 on Amazon Linux 2023. curl is not everywhere.
# Addresses are secrets as long as they are good: they come by the environment, and of a refusal no more is told than its code.
HTTP='
import hashlib, http.client, os, re, sys, time, urllib.error, urllib.request

method, address, path = os.environ["METHOD"], os.environ["ADDRESS"], os.environ.get("FILE")
headers = dict(line.split(": ", 1) for line in os.environ.get("HEADERS", "").splitlines())
deadline, pause = time.monotonic() + float(os.environ["PATIENCE"]), 0.1
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

def attempt():
    data = open(path, "rb").read() if method == "PUT" and path else None
    request = urllib.request.Request(address, data=data, headers=headers, method=method)
    with opener.open(request, timeout=10) as answer:
        if method == "PUT" or not path:
            return sys.stdout.write(answer.read(4096).decode())
        digest = hashlib.sha256()
        with open(path, "wb") as at:
            for block in iter(lambda: answer.read(1 << 20), b""):
                digest.update(block)
                at.write(block)
            if at.tell() < int(answer.headers.get("Content-Length", 0)):
                raise OSError("the connection was cut")
        sys.stdout.write(digest.hexdigest())

while True:
    try:
        attempt()
        break
    except urllib.error.HTTPError as error:
        code = re.search(rb"<Code>(\w+)</Code>", error.read(4096))
        why = "HTTP %d %s" % (error.code, code.group(1).decode() if code else error.reason)
        if error.code < 500 and error.code != 429:
            sys.exit(why)
    except (OSError, http.client.HTTPException) as error:
        why = str(getattr(error, "reason", error))
    if time.monotonic() + pause > deadline:
        sys.exit(why + ", tried for %s s" % os.environ["PATIENCE"])
    time.sleep(pause)
    pause = min(pause * 2, 5)
'

# Without importing it, which takes a second.
FINDS_AIRFLOW='
import importlib.util, sys
importlib.util.find_spec("airflow") or sys.exit("Python %d.%d finds no Airflow in it" % sys.version_info[:2])
'

# http METHOD ADDRESS [FILE [HEADERS]]: prints the answer, or of what went into FILE its digest.
http() {
    METHOD=$1 ADDRESS=$2 FILE=${3:-} HEADERS=${4:-} python3 -c "$HTTP" 2>"$LOG.why"
}

# Of the last one that failed.
why() {
    tail -n 1 "$LOG.why"
}

say() {
    line="$(date -u +%Y-%m-%dT%H:%M:%SZ) $*"
    echo "$line"
    echo "$line" >&3
}

die() {
    say "FAILED: $*"
    exit 1
}

finish() {
    status=$?
    trap - EXIT
    [ "$status" -eq 0 ] || say "FAILED: the node did not boot: it was to $STEP"
    rm -f "$VAR/.archives"
    if [ -n "$BOOT_LOG_URL" ]; then
        tail -c 200000 "$LOG" >"$LOG.part"
        PATIENCE=10 http PUT "$BOOT_LOG_URL" "$LOG.part" 'Content-Type: text/plain' >/dev/null ||
            say "this log could not be shipped: $(why)"
    fi
    rm -f "$LOG.part" "$LOG.why"
    exit "$status"
}

step() {
    STEP=$*
    say "$STEP"
}

# have_user NAME HOME
have_user() {
    id -u "$1" >/dev/null 2>&1 ||
        useradd --system --user-group --no-create-home --home-dir "$2" --shell /usr/sbin/nologin "$1"
}

look_around() {
    for tool in python3 tar gzip ip systemctl useradd unshare setpriv; do
        command -v "$tool" >/dev/null || die "this image has no $tool: install it in the image (see infra/boot/README.md)"
    done
    # The first that knows Type=exec.
    systemd=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    [ "${systemd:-0}" -ge 240 ] ||
        die "this image's systemd is ${systemd:-unknown}, and the agent's unit needs 240 or later: take Debian 12, or an image made by infra/image"
    [ -s /etc/ssl/certs/ca-certificates.crt ] || [ -s /etc/pki/tls/certs/ca-bundle.crt ] ||
        die "this image has no authorities to believe: install ca-certificates in the image"
    mkdir -p "$OPT" "$VAR"
    chmod 755 "$OPT"
    chmod 711 "$VAR"
    have_user "$SERVICES" "$VAR/node/work"
    # Makes environments and does nothing else: what the services run can't touch them.
    have_user "$BUILDER" /nonexistent
}

# Sets ADDRESS and INSTANCE.
ask_metadata() {
    session=$(http PUT "$METADATA/latest/api/token" '' 'X-aws-ec2-metadata-token-ttl-seconds: 60') ||
        die "the metadata service gives no session: $(why)"
    ADDRESS=$(http GET "$METADATA/latest/meta-data/local-ipv4" '' "X-aws-ec2-metadata-token: $session") ||
        die "the metadata service tells no address: $(why)"
    INSTANCE=$(http GET "$METADATA/latest/meta-data/instance-id" '' "X-aws-ec2-metadata-token: $session") ||
        die "the metadata service tells no instance: $(why)"
}

# take DIGEST DIRECTORY URL: the archive's content at /opt/updraft/DIRECTORY, whole or not at all.
take() {
    target="$OPT/$2" aside="$OPT/.new-$1"
    [ "$(cat "$target/.sha256" 2>/dev/null)" = "$1" ] && return
    rm -rf "$aside" "$aside.tar.gz" "$OPT/.old-$1"
    found=$(http GET "$3" "$aside.tar.gz") || die "$2 can't be fetched: $(why)"
    [ "$found" = "$1" ] || { rm -f "$aside.tar.gz"; die "$2 is not what control named: sha256 $found instead of $1"; }
    (umask 022 && mkdir -p "$aside" "$(dirname "$target")" &&
        tar -xzf "$aside.tar.gz" -C "$aside" --no-same-owner --no-same-permissions) || die "$2 can't be unpacked"
    echo "$1" >"$aside/.sha256"
    [ ! -e "$target" ] || mv "$target" "$OPT/.old-$1"
    mv "$aside" "$target"
    rm -rf "$aside.tar.gz" "$OPT/.old-$1"
    CHANGED=yes
}

take_all() {
    archives >"$VAR/.archives"
    while read -r digest directory url; do
        [ -z "$digest" ] || take "$digest" "$directory" "$url"
    done <"$VAR/.archives"
    rm -f "$VAR/.archives"
}

# An environment has no interpreter of its own: its bin/python is a link to one of the image's, which need not be its python3.
try_runtimes() {
    for runtime in "$OPT"/runtimes/*; do
        [ -d "$runtime" ] || continue
        why=$("$runtime/bin/python" -IBc "$FINDS_AIRFLOW" 2>&1) || {
            interpreter=$(readlink "$runtime/bin/python" || true)
            die "runtimes/${runtime##*/} can't be run on this image ($why): it needs the Python that it was made with at the same path${interpreter:+, $interpreter}; Debian 12 has that of infra/image as its python3, Amazon Linux 2023 after: dnf install python3.11"
        }
    done
}

registered() {
    grep -qF "\"$NODE\"" "$VAR/node/agent/identity.json" 2>/dev/null
}

# An agent from before this sign leaves none, and its unit names none.
heard() {
    [ -e "$VAR/node/agent/heard" ] || ! grep -qF node/agent/heard "$OPT/agent/$UNIT"
}

introduce() {
    printf '{"control_url":"%s","node":"%s","token":"%s","node_dir":"%s","address":"%s","service_user":"%s","builder_user":"%s","shared_dir":"%s","instance":"%s"}\n' \
        "$CONTROL_URL" "$NODE" "$1" "$VAR/node" "$ADDRESS" "$SERVICES" "$BUILDER" "$VAR/shared" "$INSTANCE" >"$VAR/.bootstrap.new"
    mv "$VAR/.bootstrap.new" "$VAR/bootstrap.json"
}

start_agent() {
    unit="$ROOT/etc/systemd/system/$UNIT"
    [ "$(cat "$OPT/agent/$UNIT")" = "$(cat "$unit" 2>/dev/null)" ] || CHANGED=yes
    if [ "$CHANGED" = yes ]; then
        mkdir -p "$(dirname "$unit")"
        cp "$OPT/agent/$UNIT" "$unit"
        chmod 644 "$unit"
        systemctl daemon-reload
    fi
    [ -n "$NODE" ] || return 0
    systemctl enable "$UNIT"
    if [ "$CHANGED" = yes ] || ! registered; then systemctl restart "$UNIT"; else systemctl start "$UNIT"; fi
}

# wait_until CONDITION WHAT_IS_NOT_SO ASKED: no longer than until UNTIL.
wait_until() {
    until "$1"; do
        state=$(systemctl is-active "$UNIT" || true)
        if [ "$state" = failed ] || [ "$(date +%s)" -gt "$UNTIL" ]; then
            journalctl --unit "$UNIT" --no-pager --output cat --lines 20 || true
            die "$2 (the agent is $state): $3"
        fi
        sleep 0.1
    done
}

mkdir -p "$(dirname "$LOG")"
exec 3>&1
exec >>"$LOG" 2>&1
STEP='begin'
CHANGED=no
trap finish EXIT

step "look around"
look_around
step "take archives"
take_all
step "try the runtimes"
try_runtimes
if [ -z "$NODE" ]; then
    step "leave an image"
    start_agent
    exit 0
fi
step "ask the metadata service who this is"
ask_metadata
step "start the agent of node $NODE on $INSTANCE, $ADDRESS"
registered || introduce "$TOKEN"
start_agent
UNTIL=$(($(date +%s) + PATIENCE))
step "wait until control has taken this node"
wait_until registered "control did not take this node" "is the token spent or too old, and $CONTROL_URL reached from here?"
# The token is spent: nobody needs it any more.
introduce ''
step "wait until control has taken a report"
wait_until heard "control took this node, but no report of its agent" "its last words are above, and it goes on trying"
say "booted"
