from gitopsd.cli.main import main

main()
