"""What users see of many jobs as one: groups, their results, when they will be done."""
