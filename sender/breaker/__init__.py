"""The circuit breaker and the canary. `keeper` reads first; `judging`, `counting` and `canary` decide, and are pure."""
