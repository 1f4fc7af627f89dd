SELECT 'organisations/' || id, 'organisations', 1, name, other_names, 'unknown', country FROM organisations
UNION ALL SELECT 'accounts/' || a.id, 'accounts', 2, '@' || a.handle, o.name, a.opened_year, a.country
  FROM accounts a JOIN organisations o ON o.id = a.organisation
UNION ALL SELECT 'events/' || e.id, 'events', 3, e.title, o.name || coalesce(' · ' || e.title_fr, '') || coalesce(' · ' || e.summary, '') || coalesce(' · ' || e.summary_fr, ''), CAST(e.year AS TEXT), e.country
  FROM events e JOIN organisations o ON o.id = e.organisation
UNION ALL SELECT 'uses/' || u.id, 'uses', 4, u.title, o.name || coalesce(' · ' || u.title_fr, '') || coalesce(' · ' || u.summary, '') || coalesce(' · ' || u.summary_fr, ''), CAST(u.year AS TEXT), u.country
  FROM uses u JOIN organisations o ON o.id = u.organisation
UNION ALL SELECT 'figures/' || f.id, 'figures', 5, f.title, f.summary, CAST(f.year AS TEXT), coalesce(o.country, c.country)
  FROM figures f LEFT JOIN organisations o ON o.id = f.organisation LEFT JOIN cohorts c ON c.id = f.cohort
UNION ALL SELECT 'cohorts/' || id, 'cohorts', 6, name, coalesce(name_fr, '') || coalesce(' · ' || description, ''), coalesce(CAST(year AS TEXT), 'unknown'), country FROM cohorts
UNION ALL SELECT 'sources/' || id, 'sources', 7, label, publisher || coalesce(' · ' || author, '') || ' · ' || url, year, 'unknown' FROM sources
ORDER BY 3, 1
