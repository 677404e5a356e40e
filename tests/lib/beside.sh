# shellcheck shell=bash
# Tiers that run beside another one, which waits more than it works; what they say is shown when they are over.

BESIDE=()
BESIDE_PID=""

# begin_beside: does not wait. What they need of this shell's other children is waited for here, where they are known.
begin_beside() {
    ((${#BESIDE[@]})) || return 0
    local tier
    for tier in "${BESIDE[@]}"; do "needs_$tier"; done
    # A process group of its own, so that it can be ended as a whole.
    set -m
    run_beside >"$RESULTS/beside.out" 2>&1 </dev/null &
    BESIDE_PID=$!
    set +m
}

run_beside() {
    set +m
    PASSED=0 FAILED=0 SKIPPED=0 TIMES=() SCRATCH=()
    trap 'rm -rf "${SCRATCH[@]}"' EXIT
    local tier
    for tier in "${BESIDE[@]}"; do
        # Compiling is in nobody's way, least of all where it is watched how soon things happen.
        [[ $tier != lint ]] || renice -n 10 "$BASHPID" >/dev/null
        run_tier "$tier"
    done
    printf '%s\n' "$PASSED $FAILED $SKIPPED" "${TIMES[@]}" >"$RESULTS/beside.counts"
}

# finish_beside: counts what they found; one that broke off is a failure.
finish_beside() {
    [[ -n $BESIDE_PID ]] || return 0
    local passed=0 failed=1 skipped=0 times=()
    wait "$BESIDE_PID" || true
    BESIDE_PID=""
    # Once: the tier root begins as e2e does.
    BESIDE=()
    cat "$RESULTS/beside.out"
    if [[ -f $RESULTS/beside.counts ]]; then
        { read -r passed failed skipped && mapfile -t times; } <"$RESULTS/beside.counts" || true
    else
        say "  FAILED  ${BESIDE[*]} broke off"
    fi
    PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
    TIMES+=("${times[@]}")
}

end_beside() {
    [[ -n $BESIDE_PID ]] || return 0
    kill -INT -- "-$BESIDE_PID" 2>/dev/null || true
    wait "$BESIDE_PID" 2>/dev/null || true
}
