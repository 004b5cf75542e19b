"""A text encoder's upper layers trained on a table's tags; averaged with another learner where that helps."""
