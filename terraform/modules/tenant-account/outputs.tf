output "role_arn" {
  description = "For Updraft: what control assumes."
  value       = aws_iam_role.updraft.arn
}

output "instance_profiles" {
  description = "For Updraft: the instance profile of each entry of `nodes`."
  value       = { for name, profile in aws_iam_instance_profile.node : name => profile.arn }
}
