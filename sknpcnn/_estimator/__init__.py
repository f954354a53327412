"""What all estimators share: parameters and data checked, fitted state, prediction."""
