-- Labels of coded words stand in both languages, so that "service client" finds every use of that type.
SELECT o.name, coalesce(o.other_names || ' · ', '') || s.label_en || ' · ' || s.label_fr, 'organisations', 'unknown', o.country, 1, 'organisations/' || o.id
  FROM organisations o JOIN sectors s ON s.id = o.sector
UNION ALL
SELECT f.title, coalesce(o.name || ' · ', '') || f.type_en || ' · ' || f.type_fr || coalesce(' · ' || nullif(f.title_fr, f.title), '') || coalesce(' · ' || f.summary, '') || coalesce(' · ' || f.summary_fr, ''),
       f."table", coalesce(CAST(f.year AS TEXT), 'unknown'), coalesce(o.country, c.country),
       CASE f."table" WHEN 'accounts' THEN 2 WHEN 'events' THEN 3 WHEN 'uses' THEN 4 ELSE 5 END, f.fact
  FROM facts f LEFT JOIN organisations o ON o.id = f.organisation LEFT JOIN cohorts c ON c.id = f.cohort
UNION ALL
SELECT name, coalesce(name_fr, '') || coalesce(' · ' || description, '') || coalesce(' · ' || description_fr, ''), 'cohorts', CAST(year AS TEXT), country, 6, 'cohorts/' || id FROM cohorts
UNION ALL
SELECT label, publisher || coalesce(' · ' || author, '') || ' · ' || url, 'sources', year, 'unknown', 7, 'sources/' || id FROM sources
ORDER BY 6, 7
