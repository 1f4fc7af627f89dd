-- Labels of coded words stand in both languages, so that "service client" finds every use of that type.
SELECT o.name, coalesce(o.other_names || ' · ', '') || s.label_en || ' · ' || s.label_fr, 'organisations', 'unknown', o.country, 1, 'organisations/' || o.id
  FROM organisations o JOIN sectors s ON s.id = o.sector
UNION ALL
SELECT '@' || a.handle, o.name || ' · ' || r.label_en || ' · ' || r.label_fr, 'accounts', a.opened_year, a.country, 2, 'accounts/' || a.id
  FROM accounts a JOIN organisations o ON o.id = a.organisation JOIN account_roles r ON r.id = a.role
UNION ALL
SELECT e.title, o.name || ' · ' || t.label_en || ' · ' || t.label_fr || coalesce(' · ' || e.title_fr, '') || coalesce(' · ' || e.summary, '') || coalesce(' · ' || e.summary_fr, ''),
       'events', CAST(e.year AS TEXT), e.country, 3, 'events/' || e.id
  FROM events e JOIN organisations o ON o.id = e.organisation JOIN event_types t ON t.id = e.type
UNION ALL
SELECT u.title, o.name || ' · ' || t.label_en || ' · ' || t.label_fr || coalesce(' · ' || u.title_fr, '') || coalesce(' · ' || u.summary, '') || coalesce(' · ' || u.summary_fr, ''),
       'uses', CAST(u.year AS TEXT), u.country, 4, 'uses/' || u.id
  FROM uses u JOIN organisations o ON o.id = u.organisation JOIN use_types t ON t.id = u.type
UNION ALL
SELECT f.title, m.label_fr || coalesce(' · ' || f.summary, '') || coalesce(' · ' || f.summary_fr, ''), 'figures', CAST(f.year AS TEXT), coalesce(o.country, c.country), 5, 'figures/' || f.id
  FROM figures f JOIN metrics m ON m.id = f.metric LEFT JOIN organisations o ON o.id = f.organisation LEFT JOIN cohorts c ON c.id = f.cohort
UNION ALL
SELECT name, coalesce(name_fr, '') || coalesce(' · ' || description, ''), 'cohorts', CAST(year AS TEXT), country, 6, 'cohorts/' || id FROM cohorts
UNION ALL
SELECT label, publisher || coalesce(' · ' || author, '') || ' · ' || url, 'sources', year, 'unknown', 7, 'sources/' || id FROM sources
ORDER BY 6, 7
