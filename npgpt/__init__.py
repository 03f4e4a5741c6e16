"""npgpt: a GPT in NumPy alone."""
