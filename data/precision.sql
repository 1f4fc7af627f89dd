WITH judged AS (
  SELECT substr(fact, 1, instr(fact, '/') - 1) AS "table",
         'unsupported' IN (who, what, dated) OR 'contradicted' IN (who, what, dated) AS faulty,
         'unreachable' IN (who, what, dated) AS unreachable
  FROM audits
),
counted AS (
  SELECT coalesce(t.id, 'all') AS id, count(*) AS audited, sum(unreachable AND NOT faulty) AS unreachable, sum(NOT unreachable AND NOT faulty) AS supported, sum(faulty) AS faulty
  FROM judged JOIN (SELECT DISTINCT "table" AS id FROM judged UNION ALL SELECT NULL) t ON t.id IS NULL OR t.id = judged."table"
  GROUP BY t.id
)
SELECT id, audited, unreachable, supported, round(100.0 * supported / (supported + faulty), 1), wilson(supported, supported + faulty, -1), wilson(supported, supported + faulty, 1)
FROM counted
