"""The progress of training and when it will finish, from files that runs write anyway. Free of torch."""
