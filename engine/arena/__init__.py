"""Which answers people prefer: pairs to judge, ratings of models, votes as training data."""
