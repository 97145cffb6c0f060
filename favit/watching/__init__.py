"""What is being trained now, and when it will be done: from what runs write anyway. Free of torch."""
