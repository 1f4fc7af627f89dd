SELECT 'accounts/' || a.id, 'accounts', a.id, a.organisation, a.id, NULL, a.opened, NULL, CAST(substr(a.opened, 1, 4) AS INTEGER), a.opened_dating,
       a.role, t.label_en, t.label_fr, '@' || a.handle, '@' || a.handle, NULL, NULL, NULL, NULL, NULL, NULL, a.added, a.checked,
       (SELECT count(*) FROM account_sources s WHERE s.account = a.id AND s.stance = 'supports'),
       (SELECT count(*) FROM account_sources s WHERE s.account = a.id AND s.stance = 'contradicts')
FROM accounts a JOIN account_roles t ON t.id = a.role
UNION ALL
SELECT 'events/' || e.id, 'events', e.id, e.organisation, e.account, NULL, e.date, NULL, e.year, e.dating,
       e.type, t.label_en, t.label_fr, e.title, e.title_fr, e.summary, e.summary_fr, NULL, NULL, NULL, NULL, e.added, e.checked,
       (SELECT count(*) FROM event_sources s WHERE s.event = e.id AND s.stance = 'supports'),
       (SELECT count(*) FROM event_sources s WHERE s.event = e.id AND s.stance = 'contradicts')
FROM events e JOIN event_types t ON t.id = e.type
UNION ALL
SELECT 'uses/' || u.id, 'uses', u.id, u.organisation, u.account, NULL, u.since, u.until, u.year, u.dating,
       u.type, t.label_en, t.label_fr, u.title, u.title_fr, u.summary, u.summary_fr, u.posture, NULL, NULL, NULL, u.added, u.checked,
       (SELECT count(*) FROM use_sources s WHERE s.use = u.id AND s.stance = 'supports'),
       (SELECT count(*) FROM use_sources s WHERE s.use = u.id AND s.stance = 'contradicts')
FROM uses u JOIN use_types t ON t.id = u.type
UNION ALL
SELECT 'figures/' || f.id, 'figures', f.id, f.organisation, f.account, f.cohort, f.date, NULL, f.year, f.dating,
       f.metric, t.label_en, t.label_fr, f.title, f.title_fr, f.summary, f.summary_fr, NULL, f.value, f.unit, f.qualifier, f.added, f.checked,
       (SELECT count(*) FROM figure_sources s WHERE s.figure = f.id AND s.stance = 'supports'),
       (SELECT count(*) FROM figure_sources s WHERE s.figure = f.id AND s.stance = 'contradicts')
FROM figures f JOIN metrics t ON t.id = f.metric
