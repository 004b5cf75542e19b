"""What an audit looks for beside wrong tags: outliers and near-duplicates."""
