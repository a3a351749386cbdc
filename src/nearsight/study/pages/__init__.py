"""What people look at: pages of one HTML file that need nothing else, maps, contact sheets."""
