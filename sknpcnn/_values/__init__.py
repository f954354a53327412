"""What values are made with: hyperparameters checked, errors that say what was meant."""
