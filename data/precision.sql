WITH judged AS (
  SELECT sample, date, substr(fact, 1, instr(fact, '/') - 1) AS "table",
         'unsupported' IN (who, what, dated) OR 'contradicted' IN (who, what, dated) AS faulty,
         'unreachable' IN (who, what, dated) AS unreachable
  FROM audits
),
counted AS (
  SELECT j.sample, max(j.date) AS date, t.id AS "table", count(*) AS audited,
         sum(unreachable AND NOT faulty) AS unreachable, sum(NOT unreachable AND NOT faulty) AS supported, sum(faulty) AS faulty
  FROM judged j JOIN (SELECT DISTINCT "table" AS id FROM judged UNION ALL SELECT NULL) t ON t.id IS NULL OR t.id = j."table"
  GROUP BY j.sample, t.id
)
SELECT sample || coalesce('--' || "table", ''), sample, date, "table", audited, unreachable, supported,
       round(100.0 * supported / (supported + faulty), 1), wilson(supported, supported + faulty, -1), wilson(supported, supported + faulty, 1)
FROM counted
