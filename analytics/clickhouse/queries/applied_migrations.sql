-- Numbers of the migrations that were applied.
SELECT DISTINCT number FROM migrations ORDER BY number
