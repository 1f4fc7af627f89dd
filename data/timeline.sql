WITH belonging AS (
  SELECT organisation, json_group_array(cohort) AS cohorts
  FROM (SELECT organisation, cohort FROM cohort_members ORDER BY organisation, cohort)
  GROUP BY organisation
)
SELECT e.id, e.date, e.year, e.month, e.type, e.title, e.title_fr, e.summary, e.summary_fr,
       e.organisation, o.name, o.kind, o.sector, o.country, e.dating, e.id, e.account,
       (SELECT count(*) FROM event_sources s WHERE s.event = e.id AND s.stance = 'supports'), coalesce(b.cohorts, '[]')
FROM events e
JOIN organisations o ON o.id = e.organisation
LEFT JOIN belonging b ON b.organisation = e.organisation
UNION ALL
SELECT 'account:' || a.id, a.opened, CAST(substr(a.opened, 1, 4) AS INTEGER),
       CASE WHEN length(a.opened) >= 7 THEN substr(a.opened, 1, 7) END,
       'account_opened', o.name || ' opens @' || a.handle, french(o.name || ' ouvre @' || a.handle), NULL, NULL,
       a.organisation, o.name, o.kind, o.sector, o.country, a.opened_dating, NULL, a.id,
       (SELECT count(*) FROM account_sources s WHERE s.account = a.id AND s.stance = 'supports'), coalesce(b.cohorts, '[]')
FROM accounts a
JOIN organisations o ON o.id = a.organisation
LEFT JOIN belonging b ON b.organisation = a.organisation
WHERE a.opened_dating = 'stated'
  AND a.role NOT IN ('spoof', 'squatted', 'unofficial')
  AND NOT EXISTS (SELECT 1 FROM events e WHERE e.account = a.id AND e.type = 'account_opened')
ORDER BY 2, 1
