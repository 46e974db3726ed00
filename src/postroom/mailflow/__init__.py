"""Mail in motion: recipients, delivery, submission, the queue, outbound, bounces."""
