"""What people read of an evaluation: pages and Markdown."""
