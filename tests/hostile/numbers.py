"""Numbers that no computer has room for."""

TOO_MANY = 10**13  # numbers of any type: more than a computer can address
GIANT = 10**30
TOO_LARGE_FOR_A_FLOAT = 10**400
