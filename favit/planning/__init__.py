"""What a sweep would cost in time and storage, before anything is spent."""
