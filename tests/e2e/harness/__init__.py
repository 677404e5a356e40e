"""What the black-box tests share. Nothing here imports Updraft: it knows only addresses, files and processes."""
