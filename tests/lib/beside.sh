# shellcheck shell=bash
# Tiers that run beside another one, which waits more than it works. A lane's tiers run one after another; what they say is
# shown when they are over.

LANES=()
LANE_PIDS=()

runs_beside() { [[ " ${LANES[*]} " == *" $1 "* ]]; }

# begin_beside: does not wait. What they need of this shell's other children is waited for here, where they are known.
begin_beside() {
    local lane tier all
    read -ra all <<<"${LANES[*]}"
    for tier in "${all[@]}"; do "needs_$tier"; done
    # Process groups of their own, so that each can be ended as a whole.
    set -m
    for lane in "${!LANES[@]}"; do
        run_lane "$lane" >"$RESULTS/beside-$lane.out" 2>&1 </dev/null &
        LANE_PIDS+=($!)
    done
    set +m
}

run_lane() {
    set +m
    PASSED=0 FAILED=0 SKIPPED=0 TIMES=() SCRATCH=()
    trap 'rm -rf "${SCRATCH[@]}"' EXIT
    local tier
    for tier in ${LANES[$1]}; do
        # Linting is in nobody's way, least of all where it is watched how soon things happen.
        renice -n "$([[ $tier == lint ]] && echo 10 || echo 0)" "$BASHPID" >/dev/null 2>&1 || true
        run_tier "$tier"
    done
    printf '%s\n' "$PASSED $FAILED $SKIPPED" "${TIMES[@]}" >"$RESULTS/beside-$1.counts"
}

# finish_beside: counts what they found; one that broke off is a failure.
finish_beside() {
    local lane
    for lane in "${!LANE_PIDS[@]}"; do
        wait "${LANE_PIDS[lane]}" || true
        count_lane "$lane"
    done
    LANE_PIDS=()
}

count_lane() {
    local passed=0 failed=1 skipped=0 times=()
    cat "$RESULTS/beside-$1.out"
    if [[ -f $RESULTS/beside-$1.counts ]]; then
        { read -r passed failed skipped && mapfile -t times; } <"$RESULTS/beside-$1.counts" || true
    else
        say "  FAILED  ${LANES[$1]} broke off"
    fi
    PASSED=$((PASSED + passed)) FAILED=$((FAILED + failed)) SKIPPED=$((SKIPPED + skipped))
    TIMES+=("${times[@]}")
}

end_beside() {
    local pid
    for pid in "${LANE_PIDS[@]}"; do kill -INT -- "-$pid" 2>/dev/null || true; done
    for pid in "${LANE_PIDS[@]}"; do wait "$pid" 2>/dev/null || true; done
}
