"""`predict` and `tag`: folds, training, out-of-sample probabilities, stored models."""
