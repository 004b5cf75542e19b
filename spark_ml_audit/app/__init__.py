"""The review page: from flags to a corrected table in a browser (`spark-ml-audit serve`)."""
