"""What all parts of the benchmark share: readings of processes and of the machine, calibration, statistics, results."""
