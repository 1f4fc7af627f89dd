WITH own AS (
  SELECT organisation, id, opened, opened_dating,
         row_number() OVER (PARTITION BY organisation ORDER BY opened, id) AS place
  FROM accounts
  WHERE opened IS NOT NULL AND role NOT IN ('spoof', 'squatted', 'unofficial')
),
seen AS (
  SELECT organisation, opened AS date, opened_dating AS dating, 'accounts/' || id AS row FROM own
  UNION ALL SELECT organisation, date, dating, 'events/' || id FROM events
    WHERE type IN ('account_opened', 'presence_noted', 'service_launched', 'campaign', 'appointment', 'milestone')
  UNION ALL SELECT organisation, since, dating, 'uses/' || id FROM uses
  UNION ALL SELECT organisation, date, dating, 'figures/' || id FROM figures WHERE organisation IS NOT NULL AND metric IN ('followers', 'tweets')
),
first_seen AS (
  SELECT organisation, date, dating, row,
         row_number() OVER (PARTITION BY organisation ORDER BY date, dating, row) AS place
  FROM seen
),
cited AS (
  SELECT e.organisation, s.source FROM event_sources s JOIN events e ON e.id = s.event
  UNION SELECT u.organisation, s.source FROM use_sources s JOIN uses u ON u.id = s.use
  UNION SELECT f.organisation, s.source FROM figure_sources s JOIN figures f ON f.id = s.figure
  UNION SELECT a.organisation, s.source FROM account_sources s JOIN accounts a ON a.id = s.account
  UNION SELECT m.organisation, s.source FROM member_sources s JOIN cohort_members m ON m.id = s.member
)
SELECT o.id, o.name, o.kind, o.sector, o.country,
       a.id, a.opened, coalesce(a.opened_dating, 'unknown'), d.date, coalesce(d.dating, 'unknown'), d.row,
       (SELECT count(*) FROM accounts x WHERE x.organisation = o.id),
       (SELECT count(*) FROM events x WHERE x.organisation = o.id),
       (SELECT count(*) FROM uses x WHERE x.organisation = o.id),
       (SELECT count(*) FROM figures x WHERE x.organisation = o.id),
       (SELECT count(*) FROM cited x WHERE x.organisation = o.id),
       (SELECT json_group_array(type) FROM (SELECT DISTINCT u.type FROM uses u WHERE u.organisation = o.id ORDER BY 1))
FROM organisations o
LEFT JOIN first_seen d ON d.organisation = o.id AND d.place = 1
LEFT JOIN own a ON a.organisation = o.id AND a.place = 1
ORDER BY o.id
