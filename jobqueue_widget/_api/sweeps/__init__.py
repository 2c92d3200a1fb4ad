"""What users see of many jobs as one."""
