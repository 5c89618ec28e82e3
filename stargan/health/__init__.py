"""Is a run going well? Monitors, what measures for them, the page that shows it."""
