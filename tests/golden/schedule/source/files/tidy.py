print("tidied")
