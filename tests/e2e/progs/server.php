<?php
// For php's built-in server: sends a posted body back, or a page.
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    header('Content-Type: application/octet-stream');
    echo file_get_contents('php://input');
} else {
    echo $_GET['say'];
}
