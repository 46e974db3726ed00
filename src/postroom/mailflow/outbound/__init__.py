"""Mail on its way out: the carrier of the queue and its conversations with other servers."""
