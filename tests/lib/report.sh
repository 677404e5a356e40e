# shellcheck shell=bash
# Counts and timings. Every check is one line on the terminal; its output is a file in tests/results.

PASSED=0
FAILED=0
SKIPPED=0
TIER=""
TIMES=()
SCRIPT_START=$SECONDS

say() { printf '%s\n' "$*"; }

run_tier() {
    TIER=$1
    local start=$SECONDS passed=$PASSED failed=$FAILED skipped=$SKIPPED
    say "=== $TIER"
    "tier_$TIER"
    TIMES+=("$(printf '%-8s %5d s  %4d passed  %d failed  %d skipped' "$TIER" $((SECONDS - start)) \
        $((PASSED - passed)) $((FAILED - failed)) $((SKIPPED - skipped)))")
}

# check NAME COMMAND…: one check, passed or failed by its exit code.
check() {
    local name=$1 log="$RESULTS/$TIER-${1// /-}.log" start=$SECONDS
    shift
    if "$@" >"$log" 2>&1; then
        PASSED=$((PASSED + 1))
        say "  ok      $name ($((SECONDS - start)) s)"
    else
        FAILED=$((FAILED + 1))
        say "  FAILED  $name ($((SECONDS - start)) s), the end of ${log#"$PWD"/}:"
        tail -n 60 "$log" | sed 's/^/          /'
    fi
}

# suite NAME JUNIT COMMAND…: many tests, counted from the JUnit file they write.
suite() {
    local name=$1 junit=$2 log="$RESULTS/$TIER-${1// /-}.log" start=$SECONDS status=0
    shift 2
    rm -f "$junit"
    "$@" >"$log" 2>&1 || status=$?
    local passed=0 failed=0 skipped=0
    read -r passed failed skipped < <(python3 tests/lib/tally.py "$junit") || true
    # A runner that fails without naming a failed test broke down; one that ran nothing proves nothing.
    if ((failed == 0 && (status != 0 || passed == 0))); then failed=1; fi
    PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
    if [[ $TIER == root && $skipped -gt 0 ]]; then
        say "  $skipped skipped in the tier root: a failure"
        FAILED=$((FAILED + skipped)) SKIPPED=$((SKIPPED - skipped))
    fi
    say "  $( ((failed)) && echo 'FAILED' || echo 'ok    ')  $name: $passed passed, $failed failed, $skipped skipped ($((SECONDS - start)) s)"
    if ((failed)); then
        python3 tests/lib/tally.py --failed "$junit" || true
        say "          the end of ${log#"$PWD"/}:"
        tail -n 150 "$log" | sed 's/^/          /'
    fi
    python3 tests/lib/tally.py --slowest "$junit" || true
}

summarize() {
    say ""
    printf '%s\n' "${TIMES[@]}"
    say "all      $((SECONDS - SCRIPT_START)) s"
    say ""
    if ((SKIPPED)); then
        say "$PASSED passed, $FAILED failed, $SKIPPED skipped"
    else
        say "$PASSED passed, $FAILED failed"
    fi
    ((FAILED == 0))
}
