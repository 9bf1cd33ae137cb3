"""What people would use instead of HawkVision, each behind the same HTTP contract."""
