WITH counted AS (
  SELECT m.cohort, CAST(substr(min(a.opened), 1, 4) AS INTEGER) AS year
  FROM cohort_members m
  JOIN accounts a ON a.id = m.account AND a.opened_dating = 'stated'
    AND a.role NOT IN ('spoof', 'squatted', 'unofficial')
  GROUP BY m.cohort, m.organisation
),
per_year AS (
  SELECT cohort, year, count(*) AS opened FROM counted
  -- A curve only where most members have a dated account: else it would show what is not known as not there.
  WHERE cohort IN (SELECT cohort FROM counted GROUP BY cohort
                   HAVING 2 * count(*) > (SELECT count(*) FROM cohort_members m WHERE m.cohort = counted.cohort))
  GROUP BY cohort, year
)
SELECT cohort || '--' || year, cohort, year, opened, total, members,
       round(100.0 * total / members, 1), 'counted'
FROM (
  SELECT p.cohort, p.year, p.opened,
         sum(p.opened) OVER (PARTITION BY p.cohort ORDER BY p.year) AS total,
         (SELECT count(*) FROM cohort_members m WHERE m.cohort = p.cohort) AS members
  FROM per_year p
)
UNION ALL
SELECT f.cohort || '--' || f.year, f.cohort, f.year, CAST(f.value AS INTEGER), CAST(c.value AS INTEGER), h.size, NULL, 'published'
FROM (SELECT cohort, year, value, min(id) FROM figures WHERE metric = 'accounts_opened' GROUP BY cohort, year) f
JOIN (SELECT cohort, year, value, min(id) FROM figures WHERE metric = 'accounts_cumulative' GROUP BY cohort, year) c USING (cohort, year)
JOIN cohorts h ON h.id = f.cohort
WHERE f.cohort NOT IN (SELECT cohort FROM per_year)
ORDER BY 2, 3
