-- Words of types stand in both languages, so that "service client" finds every use of that type.
SELECT o.name, NULL, coalesce(o.other_names || ' · ', '') || s.label_en || ' · ' || s.label_fr, o.other_names, NULL, 'organisations', 'unknown', o.country, 1, 'organisations/' || o.id
  FROM organisations o JOIN sectors s ON s.id = o.sector
UNION ALL
SELECT f.title, f.title_fr, coalesce(o.name || ' · ', '') || f.type_en || ' · ' || f.type_fr, f.summary, f.summary_fr, f."table", coalesce(CAST(f.year AS TEXT), 'unknown'), coalesce(o.country, c.country),
       CASE f."table" WHEN 'accounts' THEN 2 WHEN 'events' THEN 3 WHEN 'uses' THEN 4 ELSE 5 END, f.fact
  FROM facts f LEFT JOIN organisations o ON o.id = f.organisation LEFT JOIN cohorts c ON c.id = f.cohort
UNION ALL
SELECT name, name_fr, '', description, description_fr, 'cohorts', CAST(year AS TEXT), country, 6, 'cohorts/' || id FROM cohorts
UNION ALL
SELECT label, NULL, publisher || coalesce(' · ' || author, '') || ' · ' || url, NULL, NULL, 'sources', year, 'unknown', 7, 'sources/' || id FROM sources
ORDER BY 9, 10
