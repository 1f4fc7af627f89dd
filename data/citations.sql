SELECT 'accounts/' || account, 'accounts', account, source, locator, stance FROM account_sources
UNION ALL SELECT 'events/' || event, 'events', event, source, locator, stance FROM event_sources
UNION ALL SELECT 'uses/' || use, 'uses', use, source, locator, stance FROM use_sources
UNION ALL SELECT 'figures/' || figure, 'figures', figure, source, locator, stance FROM figure_sources
UNION ALL SELECT 'cohorts/' || cohort, 'cohorts', cohort, source, locator, stance FROM cohort_sources
UNION ALL SELECT 'cohort_members/' || member, 'cohort_members', member, source, locator, stance FROM member_sources
